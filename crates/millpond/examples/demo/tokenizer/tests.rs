//! Snippets and their tokens.

use super::error::{Problem, TokenizeError};
use super::{Kind, tokenize};

/// The kinds and texts of the tokens, without the end of the last line.
fn tokens(source: &str) -> Vec<(Kind, &str)> {
    let tokens = tokenize(source).map(|token| token.map(|token| (token.kind, token.text)));
    let mut tokens: Vec<_> = tokens.collect::<Result<_, _>>().expect("Python");
    assert_eq!(tokens.pop().map(|(kind, _)| kind), Some(Kind::NewLine));
    tokens
}

/// The texts of the tokens that are of this kind.
fn of_kind(kind: Kind, source: &str) -> Vec<&str> {
    tokens(source).into_iter().filter(|token| token.0 == kind).map(|token| token.1).collect()
}

fn problem(source: &str) -> TokenizeError {
    let mut tokens = tokenize(source).skip_while(Result::is_ok);
    let error = tokens.next().expect("an error").expect_err("an error");
    assert_eq!(tokens.next(), None, "something behind the error");
    error
}

#[test]
fn a_statement() {
    use Kind::{Comment, Keyword, Name, Number, Operator, String};
    let expected = [
        (Keyword, "if"),
        (Name, "x"),
        (Operator, ">="),
        (Number, "1.5e-3"),
        (Operator, ":"),
        (Name, "print"),
        (Operator, "("),
        (String, "'a'"),
        (Operator, ")"),
        (Comment, "# why not"),
    ];
    assert_eq!(tokens("if x >= 1.5e-3: print('a')  # why not\n"), expected);
}

#[test]
fn nothing_has_no_tokens() {
    for source in ["", "\n\n", "  \t\u{c}\n", "\u{feff}", "\\\n"] {
        assert_eq!(tokenize(source).next(), None, "{source:?}");
    }
}

#[test]
fn names_and_keywords() {
    assert_eq!(
        of_kind(Kind::Keyword, "async def f(): return None is not True"),
        ["async", "def", "return", "None", "is", "not", "True"]
    );
    let names = ["match", "case", "type", "_", "deft", "naïve", "变量", "x1", "true", "print"];
    assert_eq!(of_kind(Kind::Name, &names.join(" ")), names);
    assert!(of_kind(Kind::Keyword, &names.join(" ")).is_empty());
}

#[test]
fn numbers() {
    let numbers = [
        "0", "10_000", "0xFF_ff", "0b10", "0o17", "1.", ".5", "1.5", "1e10", "1E+1_0", "3.j", "2J",
    ];
    for number in numbers {
        assert_eq!(tokens(number), [(Kind::Number, number)]);
    }
    assert_eq!(of_kind(Kind::Number, "1if x else 2"), ["1", "2"]);
    assert_eq!(of_kind(Kind::Number, "1.real + x1 + a.b + 1..imag"), ["1.", "1."]);
    assert_eq!(of_kind(Kind::Operator, "... .5"), ["..."]);
}

#[test]
fn strings() {
    let strings = [
        r"''",
        r#"'it"s'"#,
        r#""it's""#,
        r"'it\'s'",
        r"r'\''",
        r"u'x'",
        r"Rb'x'",
        r"bR'x'",
        r"'\\'",
        "'''a\n'b''\n'''",
        r#""""a\""" b""""#,
        "'a\\\nb'",
        "''''a'''",
    ];
    for string in strings {
        assert_eq!(tokens(string), [(Kind::String, string)]);
    }
    assert_eq!(of_kind(Kind::String, "'a' 'b'\"c\""), ["'a'", "'b'", "\"c\""]);
    assert_eq!(of_kind(Kind::Name, "bar'x'"), ["bar"]);
}

#[test]
fn f_strings_without_fields() {
    assert_eq!(tokens("f''"), [(Kind::FStringStart, "f'"), (Kind::FStringEnd, "'")]);
    let texts = ["{{x}}", r"\'", r"\N{EM DASH}{{", "it\"s", r"\\"];
    for text in texts {
        assert_eq!(of_kind(Kind::FStringMiddle, &format!("F'{text}'")), [text]);
    }
    assert_eq!(of_kind(Kind::FStringMiddle, "f'''a\n'b'''"), ["a\n'b"]);
}

#[test]
fn fields_of_f_strings_are_code() {
    let names = |source| of_kind(Kind::Name, source);
    assert_eq!(names("f'a {b} c {d.e!r:>{width}}' f"), ["b", "d", "e", "r", "width", "f"]);
    assert_eq!(names("f'{x[\"key\"]:x}' y"), ["x", "y"]);
    assert_eq!(names("f'{ {1: a}[b] }' y"), ["a", "b", "y"]);
    assert_eq!(names("f'{x:=^5}{y=}{z!=w}'"), ["x", "y", "z", "w"]);
    assert_eq!(names("f'{f\"{x}\"}{rf'{y}'}' z"), ["x", "y", "z"]);
    assert_eq!(names("f'{(lambda x: x)(1)}'"), ["x", "x"]);
    assert_eq!(names("f'''{\na  # so\n}'''"), ["a"]);
    assert_eq!(names(r"f'\{a}' rf'\{b}'"), ["a", "b"]);
    assert_eq!(of_kind(Kind::FStringMiddle, "f'{x:>{w}.3f}!'"), [">", ".3f", "!"]);
    assert_eq!(of_kind(Kind::FStringMiddle, r"f'{x}\N{DASH}{y}'"), [r"\N{DASH}"]);
}

#[test]
fn operators_are_as_long_as_they_can_be() {
    let operators = ["**=", "//=", "->", ":=", "...", "**", "!=", "@=", "<<", "~", ";"];
    assert_eq!(of_kind(Kind::Operator, &operators.join(" ")), operators);
    assert_eq!(of_kind(Kind::Operator, "a**-b//=c"), ["**", "-", "//="]);
}

#[test]
fn logical_lines() {
    let ends = |source| {
        let tokens = tokenize(source).map(|token| token.expect("Python"));
        let ends = tokens.filter(|token| token.kind == Kind::NewLine);
        ends.map(|token| token.line).collect::<Vec<_>>()
    };
    assert_eq!(ends("a\nb"), [1, 2]);
    assert_eq!(ends("a = (\n1,\n\n2)\n\n# c\nb\n"), [4, 7]);
    assert_eq!(ends("a = \\\r\n  b\r\nc\r\n"), [2, 3]);
    assert_eq!(ends("a = '''\n\n'''\nb\n"), [3, 4]);
    assert_eq!(ends("f'''{\na}\n'''\n"), [3]);
}

#[test]
fn lines_are_counted() {
    let source = "a\n'''\n\n''' + b\n\\\nc # d\n";
    let lines: Vec<_> = tokenize(source).map(|token| token.expect("Python").line).collect();
    assert_eq!(lines, [1, 1, 2, 4, 4, 4, 6, 6, 6]);
}

#[test]
fn what_is_not_python_is_told_with_its_line() {
    use Problem::{StrayCharacter, UnclosedBracket, UnopenedBracket, UnterminatedString};
    let cases = [
        ("a\n'b\n'", 2, UnterminatedString),
        ("'''a\nb", 1, UnterminatedString),
        ("f'{a", 1, UnterminatedString),
        ("f'{a}\n'", 1, UnterminatedString),
        ("f'{a:>5'", 1, UnterminatedString),
        ("r'\\'", 1, UnterminatedString),
        ("(a,\n", 2, UnclosedBracket),
        ("a\n)", 2, UnopenedBracket),
        ("a $ b", 1, StrayCharacter('$')),
        ("a ! b", 1, StrayCharacter('!')),
        ("a\u{a0}b", 1, StrayCharacter('\u{a0}')),
        ("\\ a", 1, StrayCharacter('\\')),
    ];
    for (source, line, problem_there) in cases {
        assert_eq!(problem(source), TokenizeError { line, problem: problem_there }, "{source:?}");
    }
    assert_eq!(problem("a\n)").to_string(), "a bracket was not opened (line 2)");
}
