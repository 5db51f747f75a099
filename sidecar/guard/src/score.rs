//! Scores of one response along one persona vector.

/// Running scores along one vector. Projections are (a·v)/‖v‖, in units of the model's activations.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    prompt_last: Option<f64>,
    sum: f64,
    count: u32,
    poisoned: bool,
}

impl Tally {
    /// Takes the projection at the last prompt token. False when it is not a finite number.
    pub fn prompt(&mut self, projection: f32) -> bool {
        if projection.is_finite() {
            self.prompt_last = Some(f64::from(projection));
        } else {
            self.poisoned = true;
        }
        projection.is_finite()
    }

    /// Takes the projection at the next response token. False when it is not a finite number: from
    /// then on there is no `response_avg`.
    pub fn token(&mut self, projection: f32) -> bool {
        if projection.is_finite() {
            self.sum += f64::from(projection);
            self.count += 1;
        } else {
            self.poisoned = true;
        }
        projection.is_finite()
    }

    /// Projection at the last prompt token.
    #[must_use]
    pub fn prompt_last(&self) -> Option<f64> {
        self.prompt_last
    }

    /// Mean projection over the response tokens so far; none without a token, or when one could not
    /// be scored.
    #[must_use]
    pub fn response_avg(&self) -> Option<f64> {
        (self.count > 0 && !self.poisoned).then(|| self.sum / f64::from(self.count))
    }

    /// Response tokens scored.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }
}
