//! The scores of one response along one persona vector.

/// Scores along one vector, while the response is being written. Projections are (a·v)/‖v‖, in
/// units of the model's activations.
#[derive(Clone, Debug, Default)]
pub struct RunningScore {
    prompt_last: Option<f64>,
    sum: f64,
    tokens: u32,
    /// A projection was not finite.
    invalid: bool,
}

impl RunningScore {
    /// Adds the projection at the last prompt token. False if it is not a finite number.
    pub fn add_prompt(&mut self, projection: f32) -> bool {
        if projection.is_finite() {
            self.prompt_last = Some(f64::from(projection));
        } else {
            self.invalid = true;
        }
        projection.is_finite()
    }

    /// Adds the projection at the next response token. False if it is not a finite number: from
    /// then on there is no `response_avg`.
    pub fn add_token(&mut self, projection: f32) -> bool {
        if projection.is_finite() {
            self.sum += f64::from(projection);
            self.tokens += 1;
        } else {
            self.invalid = true;
        }
        projection.is_finite()
    }

    /// Projection at the last prompt token.
    #[must_use]
    pub fn prompt_last(&self) -> Option<f64> {
        self.prompt_last
    }

    /// Mean projection over the response tokens so far. `None` without a token, or if one could not
    /// be scored.
    #[must_use]
    pub fn response_avg(&self) -> Option<f64> {
        (self.tokens > 0 && !self.invalid).then(|| self.sum / f64::from(self.tokens))
    }

    /// Response tokens scored.
    #[must_use]
    pub fn tokens(&self) -> u32 {
        self.tokens
    }
}
