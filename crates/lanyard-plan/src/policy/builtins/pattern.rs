//! Regular expressions that mean the same to Go and to this engine. Any other pattern is an error,
//! which denies: the engines accept different patterns, and beyond ASCII they differ about digits,
//! words and spaces.

use anyhow::{Result, bail};
use regex::RegexBuilder;
use regex_syntax::ast::parse::Parser;
use regex_syntax::ast::{
    self, AssertionKind, Ast, ClassSetItem, Flag, FlagsItemKind, HexLiteralKind, LiteralKind,
    RepetitionKind, RepetitionRange, Visitor,
};
use regorus::Value;

use super::reimplemented::text;

/// Bytes of a compiled pattern.
///
/// # Limit
/// - for: a pattern of a policy
/// - unit: bytes
/// - beyond: the policy fails, which denies the plan
/// - test: `patterns_have_bounds`
const MAX_PATTERN_BYTES: usize = 1 << 20;
/// Number of repetitions. Nested repetitions multiply, as they do in Go.
///
/// # Limit
/// - for: a pattern of a policy
/// - unit: repetitions
/// - beyond: the policy fails, which denies the plan
/// - test: `patterns_have_bounds`
const MAX_REPETITIONS: u64 = 1000;

pub(super) fn is_match(values: &[Value]) -> Result<Value> {
    let (pattern, subject) = (text(values, 0)?, text(values, 1)?);
    let ast = Parser::new().parse(pattern)?;
    let common = ast::visit(&ast, Common::default())?;
    if common.ascii && !subject.bytes().all(|b| b.is_ascii() && b != 0x0b) {
        bail!("the text is not ASCII, and the pattern asks for digits, words, spaces or any case");
    }
    let regex = RegexBuilder::new(pattern)
        .size_limit(MAX_PATTERN_BYTES)
        .build()?;
    Ok(Value::from(regex.is_match(subject)))
}

/// Visitor that refuses syntax which the two engines do not share.
#[derive(Default)]
struct Common {
    /// True if the match depends on digits, words, spaces or letter case.
    ascii: bool,
    repeated: Vec<u64>,
}

impl Common {
    fn literal(literal: &ast::Literal) -> Result<()> {
        match literal.kind {
            LiteralKind::Verbatim
            | LiteralKind::Meta
            | LiteralKind::Special(_)
            | LiteralKind::HexFixed(HexLiteralKind::X)
            | LiteralKind::HexBrace(HexLiteralKind::X) => Ok(()),
            LiteralKind::Superfluous
            | LiteralKind::Octal
            | LiteralKind::HexFixed(HexLiteralKind::UnicodeShort | HexLiteralKind::UnicodeLong)
            | LiteralKind::HexBrace(HexLiteralKind::UnicodeShort | HexLiteralKind::UnicodeLong) => {
                bail!(
                    "the pattern escapes `{}` in a way that opa does not read",
                    literal.c
                )
            }
        }
    }

    fn flags(&mut self, flags: &ast::Flags) -> Result<()> {
        for item in &flags.items {
            match item.kind {
                FlagsItemKind::Negation
                | FlagsItemKind::Flag(
                    Flag::MultiLine | Flag::DotMatchesNewLine | Flag::SwapGreed,
                ) => {}
                FlagsItemKind::Flag(Flag::CaseInsensitive) => self.ascii = true,
                FlagsItemKind::Flag(Flag::Unicode | Flag::CRLF | Flag::IgnoreWhitespace) => {
                    bail!("the pattern sets a flag that opa does not have")
                }
            }
        }
        Ok(())
    }
}

impl Visitor for Common {
    type Output = Self;
    type Err = anyhow::Error;

    fn finish(self) -> Result<Self> {
        Ok(self)
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<()> {
        match ast {
            Ast::Literal(literal) => Self::literal(literal)?,
            Ast::Flags(flags) => self.flags(&flags.flags)?,
            Ast::Group(group) => {
                if let ast::GroupKind::NonCapturing(flags) = &group.kind {
                    self.flags(flags)?;
                }
            }
            Ast::Assertion(assertion) => match assertion.kind {
                AssertionKind::StartLine
                | AssertionKind::EndLine
                | AssertionKind::StartText
                | AssertionKind::EndText => {}
                AssertionKind::WordBoundary | AssertionKind::NotWordBoundary => self.ascii = true,
                AssertionKind::WordBoundaryStart
                | AssertionKind::WordBoundaryEnd
                | AssertionKind::WordBoundaryStartAngle
                | AssertionKind::WordBoundaryEndAngle
                | AssertionKind::WordBoundaryStartHalf
                | AssertionKind::WordBoundaryEndHalf => {
                    bail!("the pattern asserts what opa does not")
                }
            },
            Ast::ClassPerl(_) => self.ascii = true,
            Ast::ClassUnicode(class) => {
                if !matches!(class.kind, ast::ClassUnicodeKind::OneLetter(_)) {
                    bail!("the pattern names a class of Unicode");
                }
            }
            Ast::Repetition(repetition) => {
                if matches!(*repetition.ast, Ast::Repetition(_)) {
                    bail!("the pattern repeats a repetition");
                }
                let most = match &repetition.op.kind {
                    RepetitionKind::Range(
                        RepetitionRange::Exactly(most)
                        | RepetitionRange::AtLeast(most)
                        | RepetitionRange::Bounded(_, most),
                    ) => u64::from(*most).max(1),
                    RepetitionKind::ZeroOrOne
                    | RepetitionKind::ZeroOrMore
                    | RepetitionKind::OneOrMore => 1,
                };
                let all = self
                    .repeated
                    .last()
                    .copied()
                    .unwrap_or(1)
                    .saturating_mul(most);
                if all > MAX_REPETITIONS {
                    bail!("the pattern repeats more than {MAX_REPETITIONS} times");
                }
                self.repeated.push(all);
            }
            Ast::Empty(_)
            | Ast::Dot(_)
            | Ast::ClassBracketed(_)
            | Ast::Alternation(_)
            | Ast::Concat(_) => {}
        }
        Ok(())
    }

    fn visit_post(&mut self, ast: &Ast) -> Result<()> {
        if matches!(ast, Ast::Repetition(_)) {
            self.repeated.pop();
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<()> {
        match item {
            ClassSetItem::Literal(literal) => Self::literal(literal),
            ClassSetItem::Range(range) => {
                Self::literal(&range.start)?;
                Self::literal(&range.end)
            }
            ClassSetItem::Perl(_) => {
                self.ascii = true;
                Ok(())
            }
            ClassSetItem::Unicode(class) => {
                if matches!(class.kind, ast::ClassUnicodeKind::OneLetter(_)) {
                    Ok(())
                } else {
                    bail!("the pattern names a class of Unicode")
                }
            }
            ClassSetItem::Bracketed(_) => bail!("the pattern has a class within a class"),
            ClassSetItem::Empty(_) | ClassSetItem::Ascii(_) | ClassSetItem::Union(_) => Ok(()),
        }
    }

    fn visit_class_set_binary_op_pre(&mut self, _: &ast::ClassSetBinaryOp) -> Result<()> {
        bail!("the pattern calculates with classes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_bounds() {
        let read = |pattern: &str| is_match(&[Value::from(pattern), Value::from("a")]);
        assert!(read("a{1000}").is_ok() && read("a{1001}").is_err());
        assert!(read("(a{10}){100}").is_ok() && read("(a{10}){101}").is_err());
        // `\w` is a class of thousands of characters, and each repetition takes memory for all of
        // them.
        assert!(read("\\w{2}").is_ok() && read("\\w{1000}").is_err());
    }
}
