//! The installation's encryption key: as it was configured, or from the file beside the embedded
//! database, which is made on first start and never overwritten. A database that many nodes share
//! has no such place, so there it must be configured.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use tidings_domain::random::Random;
use tidings_store::EncryptionKey;
use zeroize::Zeroizing;

use crate::config::SecretText;

const KEY_BYTES: usize = 32;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// A key, and the file it was just made in, of which somebody should be told.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// The key.
    pub(crate) key: EncryptionKey,
    /// The file, where this call made it.
    pub(crate) made: Option<PathBuf>,
}

/// The key of the installation whose database is at `database`: the configured one, else the one
/// in the file beside the database, else, where there is no database yet, a new one.
pub(crate) fn resolve(
    configured: Option<&SecretText>,
    database: &Path,
    random: &dyn Random,
) -> anyhow::Result<Resolved> {
    if let Some(key) = given(configured)? {
        return Ok(Resolved { key, made: None });
    }
    let file = key_file(database);
    match fs::read_to_string(&file).map(Zeroizing::new) {
        Ok(text) => {
            let key = decode(text.trim()).with_context(|| {
                format!(
                    "the encryption key in {} is not usable; restore the file from a backup",
                    file.display()
                )
            })?;
            Ok(Resolved { key, made: None })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if is_database_at(database) {
                bail!(
                    "the database {} is there, but not its encryption key {}: restore the key \
                     file from a backup, or set TIDINGS_ENCRYPTION_KEY. Without the key the \
                     signing secrets in the database cannot be read",
                    database.display(),
                    file.display()
                );
            }
            make(&file, random)
        }
        Err(error) => Err(error).with_context(|| {
            format!(
                "cannot read the encryption key {}; it must be readable by the user that runs \
                 Tidings",
                file.display()
            )
        }),
    }
}

/// The key of an installation of many nodes, none of which is the place to keep it.
pub(crate) fn shared(configured: Option<&SecretText>) -> anyhow::Result<EncryptionKey> {
    given(configured)?.context(
        "with PostgreSQL the encryption key must be given, the same to every server: set \
         TIDINGS_ENCRYPTION_KEY. Make one once with: openssl rand -base64 32, and keep it with \
         your other secrets; without it the signing secrets in the database cannot be read",
    )
}

/// The configured key, where there is one.
fn given(configured: Option<&SecretText>) -> anyhow::Result<Option<EncryptionKey>> {
    let text = configured.and_then(SecretText::expose);
    text.map(decode)
        .transpose()
        .context("TIDINGS_ENCRYPTION_KEY is not usable; make one with: openssl rand -base64 32")
}

/// The file of the key beside a database.
fn key_file(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".key");
    PathBuf::from(name)
}

/// Whether there is a database already. An empty file is what a crash between creating and writing
/// leaves; nothing is in it to lose.
pub(crate) fn is_database_at(database: &Path) -> bool {
    fs::metadata(database).is_ok_and(|data| data.len() > 0)
}

/// Makes a key and its file, readable by its owner alone and durable before anything is encrypted.
fn make(file: &Path, random: &dyn Random) -> anyhow::Result<Resolved> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    random.fill(bytes.as_mut());
    let text = Zeroizing::new(format!("{}\n", STANDARD.encode(bytes.as_ref())));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(file).and_then(|mut opened| {
        opened.write_all(text.as_bytes())?;
        opened.sync_all()?;
        sync_directory(file)
    });
    written.with_context(|| {
        format!(
            "cannot make the encryption key file {}; the directory must exist and be writable, \
             or set TIDINGS_ENCRYPTION_KEY",
            file.display()
        )
    })?;
    Ok(Resolved {
        key: EncryptionKey::new(*bytes),
        made: Some(file.to_owned()),
    })
}

/// A file is durable when its name is, too.
fn sync_directory(file: &Path) -> std::io::Result<()> {
    let directory = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::File::open(directory)?.sync_all()
}

/// Reads a key in either alphabet, padded or not. Errors do not repeat it.
fn decode(text: &str) -> anyhow::Result<EncryptionKey> {
    let bytes = STANDARD
        .decode(text)
        .or_else(|_| URL_SAFE.decode(text))
        .map(Zeroizing::new);
    let Ok(bytes) = bytes else {
        bail!("it is not base64");
    };
    match <[u8; KEY_BYTES]>::try_from(bytes.as_slice()) {
        Ok(key) => Ok(EncryptionKey::new(key)),
        Err(_) => bail!("it holds {} bytes instead of {KEY_BYTES}", bytes.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_domain::random::SeededRandom;

    fn fingerprint(key: &EncryptionKey) -> [u8; 32] {
        key.derive("test")
    }

    /// A directory that is gone with its test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let name = format!("tidings-{name}-{}", std::process::id());
            let directory = std::env::temp_dir().join(name);
            fs::create_dir_all(&directory).unwrap();
            Self(directory)
        }

        fn database(&self) -> PathBuf {
            self.0.join("tidings.db")
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn reads_either_alphabet_padded_or_not() {
        let bytes = [0xfb; KEY_BYTES];
        let expected = fingerprint(&EncryptionKey::new(bytes));
        let padded = base64::engine::general_purpose::STANDARD.encode(bytes);
        let url_safe = base64::engine::general_purpose::URL_SAFE.encode(bytes);
        assert_ne!(padded, url_safe);
        for text in [
            &padded,
            &url_safe,
            padded.trim_end_matches('='),
            url_safe.trim_end_matches('='),
        ] {
            assert_eq!(fingerprint(&decode(text).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn errors_do_not_repeat_the_key() {
        for text in ["c2VjcmV0", "not base64, but secret!"] {
            let error = format!("{:#}", decode(text).unwrap_err());
            assert!(!error.contains(text), "{error}");
        }
    }

    #[test]
    fn is_made_once_and_found_again() {
        let scratch = Scratch::new("key-made");
        let database = scratch.database();
        let random = SeededRandom::new(1);
        let made = resolve(None, &database, &random).unwrap();
        let file = made.made.unwrap();
        assert_eq!(file, key_file(&database));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let permissions = fs::metadata(&file).unwrap().permissions();
            assert_eq!(permissions.mode() & 0o777, 0o600);
        }
        fs::write(&database, "content").unwrap();
        let found = resolve(None, &database, &random).unwrap();
        assert!(found.made.is_none());
        assert_eq!(fingerprint(&found.key), fingerprint(&made.key));
    }

    #[test]
    fn a_database_without_its_key_is_an_error() {
        let scratch = Scratch::new("key-missing");
        let database = scratch.database();
        fs::write(&database, "content").unwrap();
        let error = resolve(None, &database, &SeededRandom::new(1)).unwrap_err();
        assert!(error.to_string().contains("tidings.db.key"), "{error}");
        assert!(!key_file(&database).exists(), "and none is made");
        let configured: SecretText = STANDARD.encode([7; 32]).parse().unwrap();
        assert!(resolve(Some(&configured), &database, &SeededRandom::new(1)).is_ok());
    }

    #[test]
    fn a_shared_database_needs_a_given_key() {
        let configured: SecretText = STANDARD.encode([7; 32]).parse().unwrap();
        let expected = fingerprint(&EncryptionKey::new([7; 32]));
        assert_eq!(fingerprint(&shared(Some(&configured)).unwrap()), expected);
        let nothing: SecretText = " ".parse().unwrap();
        for missing in [None, Some(&nothing)] {
            let error = shared(missing).unwrap_err().to_string();
            assert!(error.contains("openssl rand -base64 32"), "{error}");
        }
    }

    #[test]
    fn a_broken_file_is_an_error_and_stays() {
        let scratch = Scratch::new("key-broken");
        let database = scratch.database();
        fs::write(key_file(&database), "garbage!").unwrap();
        let error = resolve(None, &database, &SeededRandom::new(1)).unwrap_err();
        assert!(error.to_string().contains("backup"), "{error}");
        assert_eq!(fs::read_to_string(key_file(&database)).unwrap(), "garbage!");
    }
}
