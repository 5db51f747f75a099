//! The scores of one response along one persona vector.

use crate::section::Section;

/// Scores along one vector, while the response is being written. Projections are (a·v)/‖v‖, in
/// units of the model's activations.
#[derive(Clone, Debug, Default)]
pub struct RunningScore {
    prompt_last: Option<f64>,
    response: Mean,
    /// Of each section, with the tokens whose section is not known.
    reasoning: Mean,
    answer: Mean,
    /// A projection was not finite.
    invalid: bool,
}

/// A mean over tokens.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    sum: f64,
    tokens: u32,
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
    pub fn add_token(&mut self, projection: f32, section: Section) -> bool {
        if projection.is_finite() {
            self.response.add(projection);
            if section != Section::Answer {
                self.reasoning.add(projection);
            }
            if section != Section::Reasoning {
                self.answer.add(projection);
            }
        } else {
            self.invalid = true;
        }
        projection.is_finite()
    }

    /// The tokens of unknown section were of this one.
    pub fn reveal(&mut self, section: Section) {
        match section {
            Section::Unknown => {}
            Section::Reasoning => self.answer = Mean::default(),
            Section::Answer => self.reasoning = Mean::default(),
        }
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
        self.valid(self.response)
    }

    /// The same over the tokens of the answer alone.
    #[must_use]
    pub fn answer_avg(&self) -> Option<f64> {
        self.valid(self.answer)
    }

    /// The same over the tokens of the reasoning alone.
    #[must_use]
    pub fn reasoning_avg(&self) -> Option<f64> {
        self.valid(self.reasoning)
    }

    /// Response tokens scored.
    #[must_use]
    pub fn tokens(&self) -> u32 {
        self.response.tokens
    }

    fn valid(&self, mean: Mean) -> Option<f64> {
        (mean.tokens > 0 && !self.invalid).then(|| mean.sum / f64::from(mean.tokens))
    }
}

impl Mean {
    fn add(&mut self, projection: f32) {
        self.sum += f64::from(projection);
        self.tokens += 1;
    }
}
