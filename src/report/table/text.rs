//! Text from elsewhere made safe and short: the target may be hostile, its names go to somebody's terminal.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::glyphs::{Glyphs, transliterate};

/// Columns a text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text without anything a terminal would act on or hide: control characters, escapes, characters that reorder
/// or join others and invisible ones are written out as `\x1b`, `\u{202e}`.
pub fn escape(text: &str, ascii: bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        let printable = (' '..='~').contains(&character)
            || (!ascii && !character.is_ascii() && character.width().unwrap_or(0) > 0 && !is_format(character));
        if printable {
            safe.push(character);
        } else if let Some(replacement) = ascii.then(|| transliterate(character)).flatten() {
            safe.push_str(replacement);
        } else {
            match character {
                '\n' => safe.push_str("\\n"),
                '\r' => safe.push_str("\\r"),
                '\t' => safe.push_str("\\t"),
                '\0'..='\u{7f}' => safe.push_str(&format!("\\x{:02x}", u32::from(character))),
                _ => safe.push_str(&format!("\\u{{{:x}}}", u32::from(character))),
            }
        }
    }
    safe
}

/// Characters of Unicode's category Cf and separators that have a width in some tables but never a shape.
fn is_format(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// How to shorten a text that is too wide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shorten {
    /// Cut the end: "some text…".
    #[default]
    End,
    /// Cut the middle: "/usr/…/hub".
    Middle,
    /// A Go function: first its package path, "…/bar.(*T).M", then the middle.
    Function,
    /// A path: first its directories, "…/serve.go:88".
    Path,
}

/// The text in at most `columns` columns.
pub fn shorten(text: &str, columns: usize, how: Shorten, glyphs: &Glyphs) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(width(glyphs.ellipsis));
    if room == 0 {
        return head(text, columns).to_owned();
    }
    match how {
        Shorten::End => format!("{}{}", head(text, room), glyphs.ellipsis),
        Shorten::Middle => {
            format!(
                "{}{}{}",
                head(text, room / 2),
                glyphs.ellipsis,
                tail(text, room - width(head(text, room / 2)))
            )
        }
        Shorten::Function | Shorten::Path => {
            let named = if how == Shorten::Function {
                type_arguments_cut(text, glyphs)
            } else {
                text.to_owned()
            };
            if width(&named) <= columns {
                return named;
            }
            match last_path_element(&named) {
                Some(element) if width(element) <= room => format!("{}{element}", glyphs.ellipsis),
                Some(element) => shorten(element.trim_start_matches('/'), columns, Shorten::Middle, glyphs),
                None => shorten(&named, columns, Shorten::Middle, glyphs),
            }
        }
    }
}

/// "Map[go.shape.string,go.shape.int].Load" without what is inside the brackets.
fn type_arguments_cut(text: &str, glyphs: &Glyphs) -> String {
    match (text.find('['), text.rfind(']')) {
        (Some(open), Some(close)) if open + 1 < close => {
            format!("{}[{}]{}", &text[..open], glyphs.ellipsis, &text[close + 1..])
        }
        _ => text.to_owned(),
    }
}

/// "/bar.(*T).M" of "github.com/foo/bar.(*T).M": from the last slash that stands before any bracket.
fn last_path_element(text: &str) -> Option<&str> {
    let end = text.find(['(', '[']).unwrap_or(text.len());
    let slash = text[..end].rfind('/').filter(|slash| *slash > 0)?;
    Some(&text[slash..])
}

/// The longest beginning within `columns` columns.
pub fn head(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (index, character) in text.char_indices() {
        used += character.width().unwrap_or(0);
        if used > columns {
            return &text[..index];
        }
    }
    text
}

/// The longest end within `columns` columns.
pub fn tail(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (index, character) in text.char_indices().rev() {
        used += character.width().unwrap_or(0);
        if used > columns {
            return &text[index + character.len_utf8()..];
        }
    }
    text
}

/// The text broken into lines at blanks, the first within `first` columns, the others within `rest`. A word that is
/// wider than a line is cut into pieces.
pub fn wrap(text: &str, first: usize, rest: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut room = first.max(1);
    for mut word in text.split(' ').filter(|word| !word.is_empty()) {
        loop {
            let started = lines.last().is_some_and(|line| !line.is_empty());
            let used = lines.last().map_or(0, |line| width(line)) + usize::from(started);
            if used + width(word) <= room {
                if let Some(line) = lines.last_mut() {
                    if started {
                        line.push(' ');
                    }
                    line.push_str(word);
                }
                break;
            }
            if started {
                lines.push(String::new());
            } else {
                let mut piece = head(word, room);
                if piece.is_empty() {
                    piece = &word[..word.chars().next().map_or(0, char::len_utf8)];
                }
                if let Some(line) = lines.last_mut() {
                    line.push_str(piece);
                }
                word = &word[piece.len()..];
                lines.push(String::new());
            }
            room = rest.max(1);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::glyphs::{ASCII, UNICODE};
    use super::*;

    #[test]
    fn nothing_a_terminal_acts_on_gets_through() {
        assert_eq!(escape("a\u{1b}[31mb\u{7}\r\n\t\0", false), r"a\x1b[31mb\x07\r\n\t\x00");
        assert_eq!(escape("\u{9b}31m\u{85}\u{7f}", false), r"\u{9b}31m\u{85}\x7f");
        assert_eq!(
            escape("exe\u{202e}gpj.\u{200b}\u{2066}\u{feff}", false),
            r"exe\u{202e}gpj.\u{200b}\u{2066}\u{feff}"
        );
        assert_eq!(escape("plain ünïcode 世界", false), "plain ünïcode 世界");
    }

    #[test]
    fn ascii_terminals_get_ascii() {
        assert_eq!(escape("≥ 2 µs → 世", true), r">= 2 us -> \u{4e16}");
        assert!(escape("‼ – … ü\u{1b}", true).is_ascii());
    }

    #[test]
    fn function_names_lose_their_package_path_before_their_name() {
        let name = "github.com/acme/billing/internal/ledger.(*Store).subscribe.func1";
        for (columns, expected) in [
            (80, name),
            (40, "…/ledger.(*Store).subscribe.func1"),
            (20, "ledger.(*…ribe.func1"),
        ] {
            assert_eq!(shorten(name, columns, Shorten::Function, &UNICODE), expected);
        }
        assert_eq!(
            shorten(
                "github.com/a/b.Map[github.com/c/d.Key,int].Load",
                30,
                Shorten::Function,
                &UNICODE
            ),
            "github.com/a/b.Map[…].Load"
        );
        assert_eq!(
            shorten("net/http.(*Server).Serve", 24, Shorten::Function, &UNICODE),
            "net/http.(*Server).Serve"
        );
        assert_eq!(
            shorten("net/http.(*Server).Serve", 23, Shorten::Function, &UNICODE),
            "…/http.(*Server).Serve"
        );
    }

    #[test]
    fn whatever_is_shortened_fits_and_wide_characters_are_not_cut_in_half() {
        let texts = [
            "",
            "a",
            "世界世界世界",
            "/srv/世界/bin/hub",
            "a/b.(*T).M",
            "[[[]]]",
            "/",
            "x[/]y/z",
            "][",
        ];
        for text in texts {
            for columns in 0..20 {
                for how in [Shorten::End, Shorten::Middle, Shorten::Function, Shorten::Path] {
                    for glyphs in [&UNICODE, &ASCII] {
                        let short = shorten(text, columns, how, glyphs);
                        assert!(width(&short) <= columns, "{text:?} {columns} {how:?}: {short:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn wrapping_breaks_at_blanks_and_cuts_only_words_wider_than_a_line() {
        assert_eq!(wrap("one two three", 7, 5), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh ij", 3, 4), ["abc", "defg", "h ij"]);
        assert_eq!(wrap("", 5, 5), [""]);
        assert_eq!(wrap("世界", 1, 1), ["世", "界", ""]);
    }
}
