//! Hostile guests, one for each way to break a rule, in every role: the log names the true cause, and a neighbour's calls go on unharmed.
//! Every guest's misbehaviour is told at the top of its file in `tests/guests/examples`.

mod compile;
mod floods;
mod http;
mod isolation;
mod limits;
mod refused;
mod roles;
mod stage;
