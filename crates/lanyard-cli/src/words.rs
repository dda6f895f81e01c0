//! Command lines as text: in the settings of tools, which split them each in its way, and for
//! people who paste them into a shell.

use std::path::PathBuf;

/// Tells if no quoting carries the character through every tool that reads such a line: what shells
/// act on, and what settings take for a comment.
pub(crate) fn is_unquotable(c: char) -> bool {
    c.is_control() || matches!(c, '"' | '\'' | '\\' | '$' | '`' | '%' | '#' | ';' | '!')
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_./:@+=,".contains(c)
}

/// For tools that split it as a shell does. The AWS SDK for Go takes quotes at both ends of it for
/// quotes around the whole: what needs none has none, and the last word has to be one of those.
pub(crate) fn line(words: impl IntoIterator<Item = String>) -> String {
    let quoted = words.into_iter().map(|word| {
        if is_one_word(&word) {
            word
        } else {
            format!("\"{word}\"")
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// For a shell: whatever is in the words, it gets those words again.
pub(crate) fn pasted(words: impl IntoIterator<Item = String>) -> String {
    let quoted = words.into_iter().map(|word| {
        if is_one_word(&word) {
            word
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// Tells if a shell takes it for one word as it is.
pub(crate) fn is_one_word(word: &str) -> bool {
    !word.is_empty() && word.chars().all(is_plain)
}

/// Returns the name as the end of a variable's name.
pub(crate) fn variable(field: &str) -> String {
    let letter = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    field.chars().map(letter).collect()
}

/// The file that a shell runs under this name.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let runs = |file: &PathBuf| rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok();
    let mut files = std::env::split_paths(&path).map(|folder| folder.join(name));
    files.find(|file| file.is_file() && runs(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_gets_the_words_again() {
        let words = ["sh", "-c", "echo 'a b' && echo $HOME > x; !!", "", "ü"].map(str::to_owned);
        let script = format!("printf '%s\\n' {}", pasted(words.clone()));
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(printed.lines().collect::<Vec<_>>(), words);
    }

    #[test]
    fn a_line_is_quoted_where_it_has_to_be() {
        let words = ["/opt/my tools/lanyard", "creds", "aws", "read"].map(str::to_owned);
        assert_eq!(line(words), "\"/opt/my tools/lanyard\" creds aws read");
    }
}
