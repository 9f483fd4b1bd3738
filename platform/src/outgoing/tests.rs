//! Calls over real sockets.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const ALL: Rules = Rules { allow_http: true, allow_private: true };

/// A server that answers one call with `answer` (and then hangs, if it is told to), and what it was sent.
async fn server(answer: String, hang: bool) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook?x=1", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).ends_with("{\"a\":1}") && !seen.ends_with(b"\r\n\r\n") {
            let mut chunk = [0; 1_024];
            let n = stream.read(&mut chunk).await.unwrap();
            assert!(n > 0, "the caller went away");
            seen.extend_from_slice(&chunk[..n]);
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        if hang {
            std::future::pending::<()>().await;
        }
        String::from_utf8(seen).unwrap()
    });
    (url, task)
}

fn client() -> Client {
    Client::trusting([], Duration::from_secs(30), 1_000).unwrap()
}

#[tokio::test]
async fn a_call_takes_its_headers_and_body_along() {
    let (url, seen) = server("HTTP/1.1 204 No Content\r\n\r\n".into(), false).await;
    let headers = vec![(HeaderName::from_static("x-test"), HeaderValue::from_static("yes"))];
    let request = Request { body: Some(Bytes::from_static(b"{\"a\":1}")), headers };
    assert_eq!(client().call(ALL, &url, request).await.unwrap().status, 204);
    let seen = seen.await.unwrap();
    assert!(seen.starts_with("POST /hook?x=1 HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains("x-test: yes") && seen.contains("host: 127.0.0.1:") && seen.contains("content-length: 7"));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let answer = "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n";
    let (url, _seen) = server(answer.into(), false).await;
    assert_eq!(client().call(ALL, &url, Request::default()).await.unwrap().status, 302);
}

#[tokio::test]
async fn an_answer_has_a_limit_in_bytes_and_in_time() {
    let (url, _seen) =
        server(format!("HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n{}", "x".repeat(1_001)), false).await;
    let error = client().call(ALL, &url, Request::default()).await.unwrap_err();
    assert!(error.to_string().contains("more than 1000 bytes"), "{error}");
    let (url, _seen) = server("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nx".into(), true).await;
    let hasty = Client::trusting([], Duration::from_millis(50), 1_000).unwrap();
    assert!(matches!(hasty.call(ALL, &url, Request::default()).await, Err(Error::Timeout(_))));
}

#[tokio::test]
async fn nobody_there_is_transient_and_the_forbidden_is_not_even_tried() {
    let error = client().call(ALL, "http://127.0.0.1:1/", Request::default()).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().starts_with("calling 127.0.0.1: "), "{error}");
    let (url, seen) = server(String::new(), false).await;
    let rules = Rules { allow_http: true, allow_private: false };
    assert!(matches!(client().call(rules, &url, Request::default()).await, Err(Error::Forbidden { .. })));
    assert!(!seen.is_finished());
    seen.abort();
}

#[tokio::test]
async fn https_means_tls() {
    let (url, seen) = server("HTTP/1.1 200 OK\r\n\r\n".into(), false).await;
    let https = url.replacen("http:", "https:", 1);
    let call = tokio::spawn(async move { client().call(ALL, &https, Request::default()).await });
    // The server waits for plain words, sees a handshake, and is ended.
    tokio::task::yield_now().await;
    seen.abort();
    let error = call.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}
