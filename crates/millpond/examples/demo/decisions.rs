//! The decisions in a source.
//!
//! The cyclomatic complexity of a function is the number of its decisions plus one, each condition
//! of a compound predicate counted by itself (T. J. McCabe, "A Complexity Measure", IEEE
//! Transactions on Software Engineering SE-2(4), 1976, pages 308-320). Tokens alone do not say
//! where a function ends, so decisions are counted by the file here.

use crate::tokenizer::{Kind, Token};

/// How many decisions there are: `if`, `elif`, `for`, `while`, `except`, `and`, `or`, and each
/// `case` that may not match.
pub(crate) fn decisions(tokens: &[Token<'_>]) -> u64 {
    let decides = |token: &&Token<'_>| {
        token.kind == Kind::Keyword
            && matches!(token.text, "if" | "elif" | "for" | "while" | "except" | "and" | "or")
    };
    let lines = tokens.split(|token| token.kind == Kind::NewLine);
    let cases = lines.filter(|line| is_deciding_case(line)).count();
    (tokens.iter().filter(decides).count() + cases) as u64
}

/// Whether a logical line begins with a `case` whose pattern is more than a name.
///
/// `case` is an ordinary name elsewhere. What tells the two apart is the colon that ends the head
/// of a block, and what stands behind the word. A name in brackets counts as more than a name.
fn is_deciding_case(line: &[Token<'_>]) -> bool {
    let comment = |token: &&Token<'_>| token.kind != Kind::Comment;
    let line: Vec<&Token<'_>> = line.iter().filter(comment).collect();
    let [first, second, rest @ ..] = line.as_slice() else {
        return false;
    };
    if first.text != "case" || !begins_pattern(second) || !has_colon(&line[1..]) {
        return false;
    }
    let always_matches =
        second.kind == Kind::Name && rest.first().is_some_and(|t| matches!(t.text, ":" | "if"));
    !always_matches
}

fn begins_pattern(token: &Token<'_>) -> bool {
    match token.kind {
        Kind::Operator => matches!(token.text, "(" | "[" | "{" | "-" | "*"),
        Kind::Keyword => matches!(token.text, "None" | "True" | "False"),
        _ => true,
    }
}

/// Whether there is a colon outside of all brackets.
fn has_colon(tokens: &[&Token<'_>]) -> bool {
    let mut depth = 0_i32;
    tokens.iter().filter(|token| token.kind == Kind::Operator).any(|token| {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        depth == 0 && token.text == ":"
    })
}

#[cfg(test)]
mod tests {
    use super::decisions;
    use crate::tokenizer::{Token, tokenize};

    fn count(source: &str) -> u64 {
        let tokens: Vec<Token<'_>> = tokenize(source).collect::<Result<_, _>>().expect("Python");
        decisions(&tokens)
    }

    #[test]
    fn keywords_decide() {
        assert_eq!(count("pass"), 0);
        assert_eq!(count("if a:\n  pass\nelif b:\n  pass\nelse:\n  pass\n"), 2);
        assert_eq!(count("for a in b:\n  while a and b or not c: pass\n"), 4);
        assert_eq!(count("x = [y if y else z for y in x if y]"), 3);
        assert_eq!(count("try: pass\nexcept A: pass\nfinally: pass\n"), 1);
        assert_eq!(count("x = 'if a and b'  # or c\ny = f'{a or b}'"), 1);
    }

    #[test]
    fn a_case_decides_unless_it_always_matches() {
        assert_eq!(count("match a:\n  case 1: pass\n  case A(b) | [c]: pass\n  case _: pass\n"), 2);
        assert_eq!(count("match a:\n  case {'b': c}:  # so\n    pass\n  case -1: pass\n"), 2);
        assert_eq!(count("match a:\n  case None: pass\n  case b: pass\n"), 1);
        assert_eq!(count("match a:\n  case _ if b: pass\n  case 1 if b: pass\n"), 3);
        assert_eq!(count("match a:\n  case b.c: pass\n  case *_, 1: pass\n"), 2);
    }

    #[test]
    fn a_name_may_be_case() {
        assert_eq!(count("case = 1\ncase: int = 2\ncase.x = {1: 2}\ncase(a)\ncase[1:2] = x\n"), 0);
    }
}
