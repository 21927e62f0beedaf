// tsc copies no pictures.
import { cpSync } from 'node:fs';

cpSync('nodes/TidingsTrigger/tidings.svg', 'dist/nodes/TidingsTrigger/tidings.svg');
