//! The attributes of the crate `millpond`, which re-exports them.
//!
//! This crate is internal: use [`millpond`](https://docs.rs/millpond), which documents them.

use proc_macro::{Delimiter, Group, TokenStream, TokenTree};

/// Prepares a program for having children, before anything else in its `main`.
///
/// It is [`millpond::init()`](https://docs.rs/millpond/latest/millpond/fn.init.html), called first.
/// Above the attribute of an async runtime it also comes before the runtime and its threads:
///
/// ```ignore
/// #[millpond::main]
/// #[tokio::main]
/// async fn main() -> Result<(), millpond::Error> {
///     let pool = millpond::Pool::new(4)?;
///     println!("{}", pool.spawn(|n: u64| n * n, 12).await?);
///     Ok(())
/// }
/// ```
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    match Function::parse(&arguments, item) {
        Ok(function) => function.initialized(),
        Err(message) => error(message),
    }
}

/// Marks a test that starts processes.
///
/// The test program's children are prepared before its `main`, which belongs to the test harness;
/// see [`millpond::init_before_main!`](https://docs.rs/millpond/latest/millpond/macro.init_before_main.html).
/// It composes with other attributes of tests, which stand below:
///
/// ```ignore
/// #[millpond::test]
/// fn doubles() {
///     assert_eq!(millpond::spawn(|n: u64| n * 2, 4).unwrap().join().unwrap(), 8);
/// }
///
/// #[millpond::test]
/// #[tokio::test]
/// async fn halves() {
///     assert_eq!(millpond::spawn(|n: u64| n / 2, 4).unwrap().await.unwrap(), 2);
/// }
/// ```
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    match Function::parse(&arguments, item) {
        Ok(function) => function.tested(),
        Err(message) => error(message),
    }
}

/// What has to be known of a function.
struct Function {
    item: TokenStream,
    name: String,
    is_async: bool,
    has_attributes: bool,
    is_test: bool,
    /// What stands between the parameters and the body.
    returns: TokenStream,
}

impl Function {
    fn parse(arguments: &TokenStream, item: TokenStream) -> Result<Self, &'static str> {
        if !arguments.is_empty() {
            return Err("this attribute takes no arguments");
        }
        let mut tokens = item.clone().into_iter().peekable();
        let mut function = Self {
            item,
            name: String::new(),
            is_async: false,
            has_attributes: false,
            is_test: false,
            returns: TokenStream::new(),
        };
        loop {
            match tokens.next().ok_or("this attribute is for functions")? {
                TokenTree::Ident(word) if word.to_string() == "fn" => break,
                TokenTree::Ident(word) if word.to_string() == "async" => function.is_async = true,
                TokenTree::Punct(sign) if sign.as_char() == '#' => {
                    if let Some(TokenTree::Group(attribute)) = tokens.peek() {
                        function.note_attribute(attribute);
                    }
                }
                _ => {}
            }
        }
        match tokens.next() {
            Some(TokenTree::Ident(name)) => function.name = name.to_string(),
            _ => return Err("this attribute is for functions"),
        }
        match tokens.next() {
            Some(TokenTree::Group(parameters)) if parameters.stream().is_empty() => {}
            _ => return Err("a function with this attribute takes no parameters"),
        }
        let rest: Vec<TokenTree> = tokens.collect();
        match rest.split_last() {
            Some((TokenTree::Group(body), before)) if body.delimiter() == Delimiter::Brace => {
                function.returns = before.iter().cloned().collect();
            }
            _ => return Err("a function with this attribute has a body"),
        }
        if function.is_async && !function.has_attributes {
            return Err("an async function needs a runtime: put its attribute below this one, as \
                        `#[tokio::main]` or `#[tokio::test]`");
        }
        Ok(function)
    }

    fn note_attribute(&mut self, attribute: &Group) {
        let words: Vec<TokenTree> = attribute.stream().into_iter().collect();
        let path = words.iter().take_while(|word| !matches!(word, TokenTree::Group(_)));
        let last = path.last().map(ToString::to_string);
        let is_doc = words.first().is_some_and(|word| word.to_string() == "doc");
        self.has_attributes |= !is_doc;
        self.is_test |= last.is_some_and(|last| last == "test");
    }

    /// The function inside of one of the same name, which calls `init` first.
    fn initialized(self) -> TokenStream {
        if self.name != "main" {
            return error("this attribute is for `main`");
        }
        let mut body = source("::millpond::init();");
        body.extend(self.item);
        body.extend(source("main()"));
        let mut out = source("fn main()");
        out.extend(self.returns);
        out.extend([TokenTree::Group(Group::new(Delimiter::Brace, body))]);
        out
    }

    fn tested(self) -> TokenStream {
        let mut out = source("::millpond::init_before_main!();");
        if !self.is_test {
            out.extend(source("#[::core::prelude::v1::test]"));
        }
        out.extend(self.item);
        out
    }
}

fn source(text: &str) -> TokenStream {
    text.parse().expect("it is Rust")
}

fn error(message: &str) -> TokenStream {
    source(&format!("::core::compile_error!({message:?});"))
}
