//! Where one rule stands on one response.

/// Where one rule stands on one response.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RuleState {
    status: Status,
    /// The last 64 tokens, newest in the lowest bit: whether each is past the threshold.
    recent: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Status {
    #[default]
    Within,
    Breached,
    /// It could not be scored, and the policy lets that pass.
    Unscored,
}

impl RuleState {
    pub(super) fn is_breached(&self) -> bool {
        self.status == Status::Breached
    }

    pub(super) fn is_unscored(&self) -> bool {
        self.status == Status::Unscored
    }

    /// Notes a breach. True for the first one; a rule that could not be scored has none.
    pub(super) fn breach(&mut self) -> bool {
        self.leave_within(Status::Breached)
    }

    /// Notes that the rest cannot be scored. A breach stands.
    pub(super) fn lose(&mut self) {
        self.leave_within(Status::Unscored);
    }

    fn leave_within(&mut self, status: Status) -> bool {
        let first = self.status == Status::Within;
        if first {
            self.status = status;
        }
        first
    }

    /// Notes whether the newest token is past the threshold.
    pub(super) fn push_token(&mut self, past: bool) {
        self.recent = self.recent << 1 | u64::from(past);
    }

    /// The tokens so far do not count after all.
    pub(super) fn forget_tokens(&mut self) {
        self.recent = 0;
    }

    /// How many of the last tokens are past the threshold.
    pub(super) fn past_of_last(&self, tokens: u32) -> u32 {
        (self.recent & lowest_bits(tokens)).count_ones()
    }

    /// How many of the last tokens must wait, because a window that begins with the first of them
    /// can still become a breach.
    pub(super) fn tokens_in_doubt(&self, of_last: u32) -> usize {
        let past = self.recent & lowest_bits(of_last - 1);
        (u64::BITS - past.leading_zeros()) as usize
    }
}

/// The lowest `bits` bits.
fn lowest_bits(bits: u32) -> u64 {
    u64::MAX.checked_shr(u64::BITS - bits.min(u64::BITS)).unwrap_or(0)
}
