//! What goes wrong.

/// What goes wrong with one request for the contents of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection ends after so many bytes.
    BreakOff(usize),
    /// Nothing more comes after so many bytes.
    Stall(usize),
    /// Bytes are others than they should be.
    Damage,
    /// The whole file comes, whatever range was asked for.
    NoRanges,
    /// Another range comes than was asked for.
    WrongRange,
    /// This status, with `retry-after: 0`.
    Status(u16),
    /// A page to log in.
    LoginPage,
    /// A file is another from now on.
    Change(&'static str, Vec<u8>),
    /// A redirect to where there is no encryption, or anywhere else.
    Redirect(String),
}
