//! Nothing but tests: that what Aside makes of others' standards is understood by others' implementations of them. A crate of
//! its own, so that no other needs what these bring along.
