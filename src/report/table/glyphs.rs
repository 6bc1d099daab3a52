//! The few characters a table draws with, and what stands for them where only ASCII can be shown.

/// Drawing characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glyphs {
    /// Parts of a bar's last cell, from one eighth on; the last one is a full cell.
    pub bar: &'static [char],
    /// The empty part of a gauge.
    pub gauge_rest: char,
    /// Heights of a column in a histogram, from the lowest on.
    pub spark: &'static [char],
    /// An empty place in a histogram.
    pub spark_none: char,
    /// Stands for what was cut out.
    pub ellipsis: &'static str,
    /// "Does not apply".
    pub none: &'static str,
    /// "About", before an estimate.
    pub about: &'static str,
    /// "At least", before a lower bound.
    pub at_least: &'static str,
    /// A branch of a list that goes on, and its last branch.
    pub branches: [&'static str; 2],
    /// Marks of the severities: info, warning, critical.
    pub marks: [&'static str; 3],
    /// Marks of checks: in order, not known, with a drawback, failed.
    pub outcomes: [&'static str; 4],
}

/// For terminals that show Unicode.
pub const UNICODE: Glyphs = Glyphs {
    bar: &['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'],
    gauge_rest: '░',
    spark: &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
    spark_none: '·',
    ellipsis: "…",
    none: "–",
    about: "≈ ",
    at_least: "≥ ",
    branches: ["├ ", "└ "],
    marks: ["i", "!", "!!"],
    outcomes: ["✓", "?", "!", "✗"],
};

/// For everything else.
pub const ASCII: Glyphs = Glyphs {
    bar: &['#'],
    gauge_rest: '.',
    spark: &['1', '2', '3', '4', '5', '6', '7', '8', '9'],
    spark_none: '.',
    ellipsis: "...",
    none: "-",
    about: "~ ",
    at_least: ">= ",
    branches: ["|- ", "`- "],
    marks: ["i", "!", "!!"],
    outcomes: ["ok", "?", "!", "x"],
};

/// What to write for a character that ASCII lacks, where readers would expect it in our own texts.
pub fn transliterate(character: char) -> Option<&'static str> {
    Some(match character {
        '≥' => ">=",
        '≤' => "<=",
        '≈' => "~",
        '→' => "->",
        '←' => "<-",
        '–' | '—' | '−' | '‑' => "-",
        '…' => "...",
        '×' => "x",
        '·' => ".",
        'µ' | 'μ' => "u",
        '’' | '‘' => "'",
        '“' | '”' => "\"",
        _ => return None,
    })
}
