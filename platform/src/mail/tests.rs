//! Letters over real SMTP, and what must never get into one.

use model::humane::{Secret, Span};

use super::capture::Capture;
use super::*;

fn config(url: &str) -> config::Mail {
    config::Mail {
        url: Secret::new(url),
        from: "OptiBid <no-reply@optibid.example>".into(),
        timeout: Span::from_millis(30_000),
        ..config::Mail::default()
    }
}

#[tokio::test]
async fn a_letter_arrives_as_it_was_written() {
    let mut server = Capture::start().await.unwrap();
    let mailer = Mailer::new(&config(&server.url())).unwrap();
    let link = "https://optibid.example/reset?token=obp_abc_DEF-123";
    mailer.send(&Letter::reset("ada@example.org", link, Span::from_millis(3_600_000))).await.unwrap();
    let letter = server.next().await.unwrap();
    assert_eq!(letter.from, "no-reply@optibid.example");
    assert_eq!(letter.to, ["ada@example.org"]);
    assert!(letter.data.contains("\nSubject: Your new OptiBid password\n"), "{}", letter.data);
    assert!(letter.data.contains("To: ada@example.org\n") && letter.data.contains("@optibid.example>\n"));
    assert!(letter.text().contains(&format!("\n\n{link}\n\n")), "{}", letter.data);
    assert!(letter.text().contains("follow this link within 1h:"));
    // A second one, with what needs encoding and a line that could end the letter.
    let text = "Preis über 100 €/MWh\n.\nRCPT TO:<x@y.example>";
    let alert = Letter::alert("bob@example.org", "Köln: Preis", text, "https://optibid.example/alerts/1");
    mailer.send(&alert).await.unwrap();
    let letter = server.next().await.unwrap();
    assert_eq!(letter.to, ["bob@example.org"]);
    assert!(letter.data.contains("Subject: ") && !letter.data.contains("Subject: Alert: Köln"), "{}", letter.data);
    assert_eq!(letter.text().trim_end(), format!("{text}\n\nhttps://optibid.example/alerts/1"));
    assert!(server.try_next().is_none());
}

#[test]
fn nobody_writes_headers_by_way_of_a_name_or_an_address() {
    let mailer = Mailer::new(&config("")).unwrap();
    let letter = |to: &str, subject: &str| Letter { to: to.into(), subject: subject.into(), text: "x".into() };
    for to in [
        "ada@example.org\r\nBcc: all@example.org",
        "ada@example.org\nX: y",
        "ada@example.org, bob@example.org",
        "<ada@example.org>",
        "Ada <ada@example.org>",
        "ada@example.org\0",
        "",
        "ada",
    ] {
        assert!(matches!(mailer.message(&letter(to, "hello")), Err(Error::Message(_))), "{to:?}");
    }
    for subject in ["x\r\nBcc: all@example.org", "x\nBcc: y", "x\0", "", "\u{202E}x", &"x".repeat(201)] {
        assert!(matches!(mailer.message(&letter("ada@example.org", subject)), Err(Error::Message(_))), "{subject:?}");
    }
    let alert = Letter::alert("ada@example.org", "PJM\r\nBcc: all@example.org", "text", "link");
    let sent = String::from_utf8(mailer.message(&alert).unwrap().formatted()).unwrap();
    assert!(!sent.contains("Bcc"), "{sent}");
}

#[test]
fn mail_goes_in_the_clear_to_this_machine_alone() {
    for good in ["", "smtp://127.0.0.1:25", "smtp://localhost", "smtp://[::1]:25", "smtps://u:p@mail.example.org"] {
        Mailer::new(&config(good)).unwrap();
    }
    Mailer::new(&config("smtp://u:p@mail.example.org?tls=required")).unwrap();
    for bad in ["smtp://u:hunter2@mail.example.org", "smtp://u:hunter2@mail.example.org?tls=opportunistic", "http://x"]
    {
        let error = Mailer::new(&config(bad)).unwrap_err();
        assert!(matches!(error, Error::Config(_)) && !error.to_string().contains("hunter2"), "{error}");
    }
    let plain = config::Mail { allow_plain: true, ..config("smtp://mail.example.org") };
    Mailer::new(&plain).unwrap();
    let nobody = config::Mail { from: "nobody".into(), ..config("") };
    assert!(Mailer::new(&nobody).is_err());
    assert!(!Mailer::new(&config("")).unwrap().is_configured());
}

#[tokio::test]
async fn a_server_that_is_away_is_transient_and_a_refusal_is_not() {
    let letter = Letter::reset("ada@example.org", "https://x.example", Span::from_millis(1_000));
    let away = Mailer::new(&config("smtp://127.0.0.1:1")).unwrap();
    assert!(away.send(&letter).await.unwrap_err().is_transient());
    assert!(!Mailer::new(&config("")).unwrap().send(&letter).await.unwrap_err().is_transient());
}
