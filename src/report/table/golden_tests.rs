//! Whole tables against files under `tests/golden/` (UPDATE_GOLDEN=1 rewrites them), and what holds for any table.

use std::path::Path;

use super::super::sample;
use super::super::sections::{Section, Selection};
use super::text::width;
use super::*;

fn assert_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == text,
        "{} differs (UPDATE_GOLDEN=1 rewrites it); now:\n{text}",
        path.display()
    );
}

#[test]
fn first_screens_at_several_widths() {
    for (name, report) in [
        ("small_healthy", sample::small_healthy()),
        ("large_sick", sample::large_sick()),
        ("partly_read", sample::partly_read()),
        ("unavailable", sample::unavailable()),
    ] {
        for width in [60, 80, 120] {
            let options = TableOptions {
                width,
                ..TableOptions::default()
            };
            assert_golden(&format!("{name}_{width}"), &render(&report, &options));
        }
    }
}

#[test]
fn everything_said_verbosely_in_ascii() {
    let options = TableOptions {
        width: 100,
        ascii: true,
        sections: Selection::of(&[Section::All]),
        verbosity: Verbosity::Verbose,
        ..TableOptions::default()
    };
    let text = render(&sample::large_sick(), &options);
    assert!(text.is_ascii());
    assert_golden("large_sick_verbose_ascii", &text);
}

#[test]
fn a_quiet_table_is_the_verdict_and_the_findings() {
    let options = TableOptions {
        verbosity: Verbosity::Quiet,
        ..TableOptions::default()
    };
    assert_golden("large_sick_quiet", &render(&sample::large_sick(), &options));
}

#[test]
fn no_line_is_wider_than_asked_for_and_none_attacks_the_terminal() {
    for (name, report) in sample::all() {
        // Figures of 20 digits need room.
        let least = if name == "huge_numbers" { 72 } else { 40 };
        for columns in (least..=140).chain([200]) {
            for (ascii, verbosity) in [
                (false, Verbosity::Normal),
                (true, Verbosity::Verbose),
                (false, Verbosity::Verbose),
            ] {
                let sections = Selection::of(&[Section::All]);
                let options = TableOptions {
                    width: columns,
                    ascii,
                    verbosity,
                    sections,
                    top: 7,
                    ..TableOptions::default()
                };
                for line in render(&report, &options).split_terminator('\n') {
                    let used = width(line);
                    assert!(used <= columns, "{name} at {columns}: {used} columns\n{line}");
                    assert_eq!(line, line.trim_end(), "{name} at {columns}: trailing blanks");
                    let unsafe_character = line
                        .chars()
                        .find(|character| character.is_control() || ['\u{202e}', '\u{200b}'].contains(character));
                    assert_eq!(unsafe_character, None, "{name}: {line:?}");
                }
            }
        }
    }
}

#[test]
fn narrow_terminals_lose_columns_but_no_rows() {
    let rows = |width| {
        let sections = Selection::of(&[Section::Ledger]);
        let options = TableOptions {
            width,
            sections,
            ..TableOptions::default()
        };
        render(&sample::large_sick(), &options)
            .lines()
            .filter(|line| line.starts_with("  heap"))
            .count()
    };
    assert_eq!(rows(40), rows(140));
}

#[test]
fn colours_only_add_escape_sequences() {
    let report = sample::large_sick();
    let plain = render(&report, &TableOptions::default());
    let colored = render(
        &report,
        &TableOptions {
            color: true,
            ..TableOptions::default()
        },
    );
    assert!(colored.contains("\u{1b}[31m") || colored.contains("\u{1b}[1m"));
    assert_eq!(anstream::adapter::strip_str(&colored).to_string(), plain);
}

#[test]
fn what_is_missing_reads_as_missing_not_as_zero() {
    let text = render(&sample::unavailable(), &TableOptions::default());
    assert!(text.contains("not read: no layout for a stripped go1.99 on riscv64"));
    assert!(!text.contains(" 0 B"));
}

#[test]
fn doctors_at_several_widths() {
    for (name, report) in [
        ("doctor_works", sample::doctor_works()),
        ("doctor_refused", sample::doctor_refused()),
    ] {
        for width in [60, 100] {
            let options = TableOptions {
                width,
                ..TableOptions::default()
            };
            assert_golden(&format!("{name}_{width}"), &doctor(&report, &options));
        }
        let options = TableOptions {
            width: 80,
            ascii: true,
            ..TableOptions::default()
        };
        let text = doctor(&report, &options);
        assert!(text.is_ascii());
        assert_golden(&format!("{name}_ascii"), &text);
    }
}

#[test]
fn a_doctors_commands_can_be_pasted_at_any_width() {
    let report = sample::doctor_refused();
    let command = report.container.as_ref().unwrap().commands[0].command.clone().unwrap();
    for columns in 40..=140 {
        let options = TableOptions {
            width: columns,
            ..TableOptions::default()
        };
        let text = doctor(&report, &options);
        for line in text.split_terminator('\n') {
            assert!(
                width(line) <= columns && line == line.trim_end(),
                "at {columns}: {line}"
            );
            assert!(!line.contains('\u{1b}'), "{line:?}");
        }
        // As a shell joins them.
        let joined = text.replace("\\\n", "");
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert!(
            joined.lines().any(|line| words(line) == words(&command)),
            "at {columns}:\n{text}"
        );
    }
}
