//! Amounts of money.
//!
//! What is owed and paid is a whole number of minor units (cents, fen) in one currency.  Prices are finer, and
//! what they come to is computed exactly and rounded once, by [`rounded`].

use serde::{Deserialize, Serialize};
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Currency {
    Usd,
    Cny,
}

impl Currency {
    pub const ALL: [Self; 2] = [Self::Usd, Self::Cny];

    pub const fn code(self) -> &'static str {
        match self {
            Self::Usd => "USD",
            Self::Cny => "CNY",
        }
    }

    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|currency| currency.code() == code)
    }
}

/// An amount of one currency.  There is no `+`: whoever adds must say what happens when the currencies differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Money {
    pub currency: Currency,
    /// Cents or fen.
    pub minor: i64,
}

/// Two currencies met, or a sum is beyond any that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("amounts of different currencies, or beyond all measure, cannot be added")]
pub struct CannotAdd;

impl Money {
    pub const fn new(currency: Currency, minor: i64) -> Self {
        Self { currency, minor }
    }

    pub fn plus(self, other: Self) -> Result<Self, CannotAdd> {
        if self.currency != other.currency {
            return Err(CannotAdd);
        }
        let minor = self.minor.checked_add(other.minor).ok_or(CannotAdd)?;
        Ok(Self { minor, ..self })
    }

    pub fn minus(self, other: Self) -> Result<Self, CannotAdd> {
        self.plus(Self { minor: other.minor.checked_neg().ok_or(CannotAdd)?, ..other })
    }

    pub fn sum(currency: Currency, amounts: impl IntoIterator<Item = Self>) -> Result<Self, CannotAdd> {
        amounts.into_iter().try_fold(Self::new(currency, 0), Self::plus)
    }
}

/// `¥12.05`, `-$0.05`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::web::format::money(self.currency.code(), self.minor))
    }
}

/// The nearest whole number; a half goes away from zero, as commerce does it.  The only rounding of money.
pub const fn rounded(numerator: i128, denominator: i128) -> i128 {
    let half = denominator / 2;
    if numerator < 0 { (numerator - half) / denominator } else { (numerator + half) / denominator }
}

/// An amount with its tax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taxed {
    pub net: i64,
    pub tax: i64,
}

impl Taxed {
    pub const fn total(self) -> i64 {
        self.net + self.tax
    }
}

/// Hundredths of a percent.
const WHOLE_RATE: i128 = 10_000;

/// `rate` is in hundredths of a percent.  Where prices contain the tax, `amount` is what is paid in the end; where they do not,
/// the tax comes on top.
pub const fn taxed(amount: i64, rate: i32, included: bool) -> Taxed {
    let (exact, rate) = (amount as i128, rate as i128);
    if included {
        let tax = rounded(exact * rate, WHOLE_RATE + rate) as i64;
        Taxed { net: amount - tax, tax }
    } else {
        Taxed { net: amount, tax: rounded(exact * rate, WHOLE_RATE) as i64 }
    }
}

/// `12`, `12.5` and `12.05` as minor units; None for everything that is no such amount.
pub fn parse_amount(text: &str) -> Option<i64> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "00"));
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole) || !plain(part) || part.len() > 2 || whole.len() > 12 {
        return None;
    }
    let part = part.parse::<i64>().ok()? * if part.len() == 1 { 10 } else { 1 };
    let minor = whole.parse::<i64>().ok()? * 100 + part;
    Some(if negative { -minor } else { minor })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_half_goes_away_from_zero() {
        let halves = [(5, 10, 1), (4, 10, 0), (-5, 10, -1), (-4, 10, 0), (3, 3, 1), (1, 3, 0), (2, 3, 1)];
        for (numerator, denominator, whole) in halves {
            assert_eq!(rounded(numerator, denominator), whole, "{numerator}/{denominator}");
        }
    }

    #[test]
    fn amounts_are_read_as_people_write_them() {
        for (text, minor) in [("12", 1200), ("12.5", 1250), (" 12.05 ", 1205), ("-0.01", -1), ("0", 0)] {
            assert_eq!(parse_amount(text), Some(minor), "{text}");
        }
        for text in ["", "-", ".", "1.", ".5", "1.005", "1,5", "1e3", "１", "+1", "1 000", "9999999999999"] {
            assert_eq!(parse_amount(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn currencies_never_mix(left in any::<i32>(), right in any::<i32>()) {
            let dollars = Money::new(Currency::Usd, left.into());
            let yuan = Money::new(Currency::Cny, right.into());
            prop_assert!(dollars.plus(yuan).is_err() && dollars.minus(yuan).is_err());
            prop_assert!(Money::sum(Currency::Usd, [dollars, yuan]).is_err());
            prop_assert!(Money::sum(Currency::Usd, [yuan]).is_err());
        }

        #[test]
        fn rounding_is_at_most_a_half_off(numerator in any::<i64>(), denominator in 1..i64::MAX) {
            let (numerator, denominator) = (i128::from(numerator), i128::from(denominator));
            let off = (rounded(numerator, denominator) * denominator - numerator).abs();
            prop_assert!(off * 2 <= denominator);
        }

        #[test]
        fn net_and_tax_are_the_whole(amount in -1_000_000_000_000..1_000_000_000_000i64, rate in 0..=10_000i32) {
            prop_assert_eq!(taxed(amount, rate, true).total(), amount);
            prop_assert_eq!(taxed(amount, rate, false).net, amount);
            prop_assert_eq!(taxed(-amount, rate, false).tax, -taxed(amount, rate, false).tax);
            // The two ways agree: the tax on a net price, contained in its gross price, is the same.
            let on_top = taxed(amount, rate, false);
            prop_assert!((taxed(on_top.total(), rate, true).tax - on_top.tax).abs() <= 1);
        }

        #[test]
        fn what_is_printed_is_read_again(minor in -100_000_000_000..100_000_000_000i64) {
            let text = crate::web::format::money("", minor);
            prop_assert_eq!(parse_amount(&text), Some(minor));
        }
    }
}
