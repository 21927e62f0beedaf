// Whether a request is signed with a secret, worked out here from the text of Standard Webhooks
// 1.0.0. The stock libraries have their say in the receivers of docs/receivers.

import { createHmac } from "node:crypto";

/** Whether one of the request's signatures is made with this secret (`whsec_…`). */
export function isSigned({ headers, body }, secret) {
  const key = Buffer.from(secret.replace("whsec_", ""), "base64");
  const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
  const signature = createHmac("sha256", key).update(signed).digest("base64");
  return headers["webhook-signature"].split(" ").includes(`v1,${signature}`);
}
