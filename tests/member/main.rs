//! A member with its threads, on a real log and a real database.

mod basics;
mod directory;
mod founding;
mod refound;
mod support;
mod trouble;
mod watching;
