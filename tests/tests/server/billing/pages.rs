//! The pages of money.
