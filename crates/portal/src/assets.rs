//! Style sheets, scripts and pictures, inside the binary. Their names carry a hash of what they
//! hold, so a browser may keep them for ever.

use std::{collections::HashMap, fmt::Write as _, sync::LazyLock};

use axum::{
    extract::Path,
    response::{IntoResponse as _, Response},
};
use http::{HeaderValue, StatusCode, header};
use rust_embed::RustEmbed;

use crate::fault::Fault;

/// Characters of the hash that are part of a name.
const HASH_CHARS: usize = 12;

#[derive(RustEmbed)]
#[folder = "assets/"]
struct Files;

struct Names {
    /// From the file's name to where it is served.
    paths: HashMap<String, String>,
    /// From the name with the hash to the file's name.
    files: HashMap<String, String>,
}

static NAMES: LazyLock<Names> = LazyLock::new(|| {
    let mut names = Names {
        paths: HashMap::new(),
        files: HashMap::new(),
    };
    for file in Files::iter() {
        let Some(content) = Files::get(&file) else {
            continue;
        };
        let hex = hex(&content.metadata.sha256_hash());
        let (stem, extension) = file.rsplit_once('.').unwrap_or((&file, ""));
        let name = format!("{stem}.{}.{extension}", &hex[..HASH_CHARS]);
        names
            .paths
            .insert(file.to_string(), format!("/portal/assets/{name}"));
        names.files.insert(name, file.to_string());
    }
    names
});

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Where a file is served, by its name in `assets/`.
pub(crate) fn path(file: &str) -> &'static str {
    // Templates name files that exist; a test asks for each.
    NAMES.paths.get(file).map_or("", String::as_str)
}

/// Serves a file by its name with the hash.
pub(crate) async fn serve(Path(name): Path<String>) -> Result<Response, Fault> {
    let file = NAMES.files.get(&name).ok_or(Fault::NotFound)?;
    let content = Files::get(file).ok_or(Fault::NotFound)?;
    let kind = match file.rsplit_once('.').map(|(_, extension)| extension) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=31536000, immutable"),
        ),
    ];
    Ok((StatusCode::OK, headers, content.data).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_served_under_its_hash_alone() {
        for file in Files::iter() {
            let path = path(&file);
            let name = path.strip_prefix("/portal/assets/").unwrap().to_owned();
            assert!(serve(Path(name)).await.is_ok(), "{path}");
            assert!(serve(Path(file.to_string())).await.is_err(), "{file}");
        }
    }

    /// Whatever a template asks `asset("…")` for is there.
    #[test]
    fn templates_name_files_that_exist() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
        let mut asked = 0;
        for template in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(template.unwrap().path()).unwrap();
            for rest in text.split("page.asset(\"").skip(1) {
                let file = rest.split('"').next().unwrap();
                assert_ne!(path(file), "", "{file}");
                asked += 1;
            }
        }
        assert!(asked > 0);
    }
}
