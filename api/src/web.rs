//! The page: from the folder `web_dir`, else the copy built into the binary, else a plain page that says how to
//! build it. The page's own addresses (`/market`, `/analytics` …) all get its `index.html`.

use std::path::{Component, Path, PathBuf};

use warp::http::{HeaderMap, HeaderValue, Method, header};
use warp::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Reply};

use crate::error::Error;
use crate::params::decode;
use crate::rest::{Answer, Routes, Shared, answer, with};

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/web.rs"));
}

/// What is served while there is no page.
const PLAIN: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>OptiBid</title>\
<h1>OptiBid is running</h1><p>The live page is not built into this program. Build it with <code>make web</code> and \
build the program again, or point <code>api.web_dir</code> at a built page.</p>\
<p><a href=\"/api/docs/\">API documentation</a> · <a href=\"/health\">Health</a> · \
<a href=\"/api/market/prices/latest\">Latest prices</a></p></html>\n";

/// Every path that no other route takes.
pub(crate) fn routes(app: &Shared) -> Routes {
    warp::method()
        .and(warp::path::full())
        .and(warp::header::headers_cloned())
        .and(with(app))
        .then(|method: Method, path: FullPath, headers: HeaderMap, app: Shared| {
            answer(async move {
                // Whatever comes here was taken by no route: a known path came with another method.
                if app.templates.knows(path.as_str()) {
                    return Err(Error::MethodNotAllowed);
                }
                if method != Method::GET {
                    return Err(Error::NoRoute(path.as_str().to_owned()));
                }
                page(path.as_str(), &headers, app.config.web_dir.as_deref()).await
            })
        })
        .boxed()
}

async fn page(full: &str, headers: &HeaderMap, folder: Option<&Path>) -> Answer {
    let path = decode(full)?;
    let name = path.trim_start_matches('/');
    // Programs that mistype an API path get an error, not a page.
    if ["api", "ws", "simulate"].iter().any(|api| name == *api || name.starts_with(&format!("{api}/"))) {
        return Err(Error::NoRoute(full.to_owned()));
    }
    if !name.is_empty()
        && let Some(bytes) = file(folder, name).await
    {
        return Ok(respond(name, bytes));
    }
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let wants_page = name.is_empty() || (accept.contains("text/html") && !name.contains('.'));
    if !wants_page {
        return Err(Error::NoRoute(full.to_owned()));
    }
    let index = file(folder, "index.html").await.unwrap_or_else(|| PLAIN.as_bytes().to_vec());
    Ok(respond("index.html", index))
}

async fn file(folder: Option<&Path>, name: &str) -> Option<Vec<u8>> {
    if let Some(folder) = folder {
        let relative = PathBuf::from(name);
        // Nothing outside the folder: no `..`, no root, no drive.
        if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
            return None;
        }
        return tokio::fs::read(folder.join(relative)).await.ok();
    }
    embedded::FILES.iter().find(|(known, _)| *known == name).map(|(_, bytes)| bytes.to_vec())
}

fn respond(name: &str, bytes: Vec<u8>) -> Response {
    let kind = match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("webmanifest") => "application/manifest+json",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    };
    // Files under assets/ have their content's hash in the name, so they never change.
    let cache = if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = Response::new(bytes.into()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn serves_the_folder_and_nothing_outside_it() {
        let folder = tempfile::tempdir().unwrap();
        let dist = folder.path().join("dist");
        std::fs::create_dir_all(dist.join("assets")).unwrap();
        std::fs::write(dist.join("index.html"), "<p>page").unwrap();
        std::fs::write(dist.join("assets/a-1.js"), "1").unwrap();
        std::fs::write(folder.path().join("secret"), "no").unwrap();
        let html = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("text/html"))]);
        let get = async |path: &str| page(path, &html, Some(&dist)).await;
        let script = get("/assets/a-1.js").await.unwrap();
        assert_eq!(script.headers()[header::CONTENT_TYPE], "text/javascript; charset=utf-8");
        for path in ["/", "/market", "/assets", "/system-status"] {
            assert_eq!(get(path).await.unwrap().headers()[header::CONTENT_TYPE], "text/html; charset=utf-8", "{path}");
        }
        for path in ["/%2e%2e/secret.txt", "/assets/../../secret.x", "/missing.js", "/api/nothing", "/ws/nothing"] {
            assert!(matches!(get(path).await, Err(Error::NoRoute(_))), "{path}");
        }
        let plain = page("/", &HeaderMap::new(), Some(&folder.path().join("nowhere"))).await.unwrap();
        assert_eq!(plain.status(), 200);
        assert!(page("/market", &HeaderMap::new(), Some(&dist)).await.is_err());
    }
}
