//! Text that people write: names, longer texts, e-mail addresses, each in one normal form.
//!
//! Two names that look alike should be alike: text is brought to NFC, trimmed, and refused when it holds what cannot
//! be seen or turns the reading direction around ("exe.gpj"). What a script or an emoji needs (joiners) stays.

use unicode_normalization::UnicodeNormalization;

use crate::validate::Problem;

/// Bytes of a text before it is looked at: normal forms of hostile input can grow.
const RAW_LIMIT: usize = 64 * 1024;

/// A name of something: one line, 1 to 120 characters.
pub fn display_name(text: &str) -> Result<String, Problem> {
    line(text, 1, 120)
}

/// One line of `least` to `most` characters, in NFC, without what cannot be seen.
pub fn line(text: &str, least: usize, most: usize) -> Result<String, Problem> {
    let text = normal(text, most)?;
    if text.chars().any(char::is_control) || text.contains(['\u{2028}', '\u{2029}']) {
        return Err(Problem::new("control_character", "must be one line without control characters"));
    }
    measured(text, least, most)
}

/// A longer text of up to `most` characters: line breaks and tabs are allowed.
pub fn prose(text: &str, most: usize) -> Result<String, Problem> {
    let text = normal(&text.replace("\r\n", "\n"), most)?;
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(Problem::new("control_character", "must not have control characters"));
    }
    measured(text, 0, most)
}

/// An address for mail, in lower case: `name@host.example`. ASCII alone: mail servers disagree on the rest, and
/// look-alike letters would make two accounts of one address.
pub fn email(text: &str) -> Result<String, Problem> {
    let wrong = |why: &str| Err(Problem::allowed("invalid_email", why, "an address like name@example.org"));
    let text = text.trim();
    if text.len() > 254 {
        return wrong("is longer than 254 characters");
    }
    if !text.is_ascii() {
        return wrong("must be ASCII: write an international domain in its xn-- form");
    }
    let Some((local, domain)) = text.rsplit_once('@') else {
        return wrong("has no @");
    };
    let usual = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&b);
    let dots = local.starts_with('.') || local.ends_with('.') || local.contains("..");
    if local.is_empty() || local.len() > 64 || dots || !local.bytes().all(usual) {
        return wrong("has no usual name in front of the @");
    }
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let labels: Vec<&str> = domain.split('.').collect();
    let numeric = labels.last().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if labels.len() < 2 || numeric || !labels.iter().all(|l| label(l)) {
        return wrong("has no domain after the @");
    }
    Ok(text.to_ascii_lowercase())
}

/// A short name for paths: 2 to 63 of `a-z`, `0-9` and `-`, not at an end.
pub fn slug(text: &str) -> Result<String, Problem> {
    let good = (2..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-');
    if good {
        return Ok(text.to_owned());
    }
    Err(Problem::allowed("invalid_slug", "is no short name", "2 to 63 of a-z, 0-9 and -, not at an end"))
}

fn normal(text: &str, most: usize) -> Result<String, Problem> {
    if text.len() > RAW_LIMIT.max(most.saturating_mul(4)) {
        return Err(too_long(most));
    }
    let text: String = text.nfc().collect();
    let text = text.trim();
    if text.chars().any(hidden) {
        return Err(Problem::new("hidden_character", "must not have characters that turn or hide text"));
    }
    Ok(text.to_owned())
}

fn measured(text: String, least: usize, most: usize) -> Result<String, Problem> {
    match text.chars().count() {
        0 if least > 0 => Err(Problem::new("empty", "must not be empty")),
        n if n < least => Err(Problem::new("too_short", format!("must have at least {least} characters"))),
        n if n > most => Err(too_long(most)),
        _ => Ok(text),
    }
}

fn too_long(most: usize) -> Problem {
    Problem::new("too_long", format!("must have at most {most} characters"))
}

/// Turns the direction of text, hides it, or stands for nothing. Not the joiners U+200C and U+200D.
fn hidden(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180E}'
        | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2064}'
        | '\u{2066}'..='\u{206F}' | '\u{3164}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF9}'..='\u{FFFB}'
        | '\u{E0000}'..='\u{E007F}' | '\u{FDD0}'..='\u{FDEF}' | '\u{FFFE}' | '\u{FFFF}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code<V: std::fmt::Debug>(result: Result<V, Problem>) -> &'static str {
        result.unwrap_err().code
    }

    #[test]
    fn names_come_in_one_form() {
        assert_eq!(display_name("  Ko\u{308}ln Süd ").unwrap(), "Köln Süd");
        assert_eq!(display_name("東京 1").unwrap(), "東京 1");
        assert_eq!(display_name("a\u{200D}b").unwrap(), "a\u{200D}b", "joiners stay");
        assert_eq!(code(display_name("   ")), "empty");
        assert_eq!(code(display_name("a\nb")), "control_character");
        assert_eq!(code(display_name("a\0b")), "control_character");
        assert_eq!(code(display_name("evil\u{202E}gpj.exe")), "hidden_character");
        assert_eq!(code(display_name("zero\u{200B}width")), "hidden_character");
        assert_eq!(code(display_name(&"ü".repeat(121))), "too_long");
        assert_eq!(display_name(&"ü".repeat(120)).unwrap().chars().count(), 120);
        assert_eq!(code(line("ab", 3, 9)), "too_short");
        assert_eq!(code(display_name(&"x".repeat(10_000_000))), "too_long");
        assert_eq!(prose("a\r\nb\tc", 10).unwrap(), "a\nb\tc");
        assert_eq!(code(prose("a\u{7}b", 10)), "control_character");
    }

    #[test]
    fn addresses_are_ascii_and_in_lower_case() {
        assert_eq!(email(" Ada.Lovelace+x@Example.ORG ").unwrap(), "ada.lovelace+x@example.org");
        assert_eq!(email("a@xn--bcher-kva.example").unwrap(), "a@xn--bcher-kva.example");
        for bad in [
            "",
            "a",
            "a@",
            "@b.example",
            "a@b",
            "a@b..example",
            "a@-b.example",
            "a b@c.example",
            "a@b.example\nBcc: x@y.example",
            "a@b@c.example\r",
            ".a@b.example",
            "a..b@c.example",
            "a@10.0.0.1",
            "a@[10.0.0.1]",
            "ä@b.example",
            "a@bü.example",
            "<a@b.example>",
            "a@b.example,c@d.example",
            "\"a b\"@c.example",
            "a@b.c\0om",
        ] {
            assert_eq!(code(email(bad)), "invalid_email", "{bad:?}");
        }
        assert_eq!(code(email(&format!("{}@b.example", "a".repeat(65)))), "invalid_email");
        assert_eq!(code(email(&format!("a@{}example", "b.".repeat(130)))), "invalid_email");
    }

    #[test]
    fn short_names_fit_in_a_path() {
        assert_eq!(slug("north-sea-2").unwrap(), "north-sea-2");
        for bad in ["", "a", "-ab", "ab-", "Ab", "a/b", "a.b", "ä-b"] {
            assert_eq!(code(slug(bad)), "invalid_slug", "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_name_that_was_taken_is_taken_again_unchanged(text in ".{0,200}") {
            if let Ok(name) = display_name(&text) {
                prop_assert_eq!(display_name(&name).unwrap(), name);
            }
        }

        #[test]
        fn an_address_that_was_taken_fits_in_a_header(text in "[ -~\r\n]{0,40}@[ -~\r\n]{0,40}") {
            if let Ok(address) = email(&text) {
                prop_assert!(!address.contains(['\r', '\n', '<', '>', ',', ' ', '"']));
            }
        }
    }
}
