//! Who may do what: the scopes that requests need.
//! Which route needs which is said in the table of routes.

mod scope;

pub(crate) use self::scope::Scope;
