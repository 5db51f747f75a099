//! Scores that the plugin in the model server gives of each token that it reads.
//!
//! Some streams do not say of how many tokens their text is. Then the plugin bounds it. It puts the
//! row of a token into its queue before the engine samples the next token, and answers what it is
//! asked (`sync`) behind all that is in the queue. So where text has come, and the plugin is asked
//! after that, every token of that text but the last was fed, and its row queued, before the
//! question came: it is among those told before the answer. Text that had come is of one more token
//! than were told by then, at most, however slow either way is. A row that was dropped is a gap,
//! past which nothing is judged.

use super::last_token::LastToken;
use super::token_count::TokenCount;
use super::transcript::Transcript;
use personaguard_engine_link::{MeasuredRequest, RowFault, Taken};
use personaguard_guard::UnscoredReason;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// How often it is looked whether the plugin keeps text waiting for too long.
const LOOK: Duration = Duration::from_millis(250);

/// Longest wait for more, where the server has not said how many tokens it has written.
const SETTLE: Duration = Duration::from_millis(250);

/// Scores one answer.
#[derive(Debug)]
pub(super) struct RowScorer {
    request: MeasuredRequest,
    /// Where in a row the projections of the plan's vectors are.
    columns: Vec<usize>,
    /// Longest time in which the engine goes on, and no row comes.
    deadline: Duration,
    last_token: Option<LastToken>,
    /// Rows that have come and were not judged.
    rows: VecDeque<Vec<f32>>,
    fault: Option<RowFault>,
    is_prompt_judged: bool,
    judged: usize,
    /// Bytes of text whose tokens the plugin was asked to bound last, and whether it has not
    /// answered.
    asked: usize,
    is_asked: bool,
    waiting_since: Option<Instant>,
}

impl RowScorer {
    pub(super) fn new(
        request: MeasuredRequest,
        columns: Vec<usize>,
        deadline: Duration,
        last_token: Option<LastToken>,
    ) -> Self {
        Self {
            request,
            columns,
            deadline,
            last_token,
            rows: VecDeque::new(),
            fault: None,
            is_prompt_judged: false,
            judged: 0,
            asked: 0,
            is_asked: false,
            waiting_since: None,
        }
    }

    /// Judges the rows that have come. False where none has, and nothing else is to be done.
    pub(super) async fn step(&mut self, transcript: &mut Transcript) -> bool {
        if transcript.count().is_some_and(TokenCount::is_complete) {
            self.request.has_ended();
        }
        if !transcript.awaits_rows() {
            return false;
        }
        let Taken { rows, fault, synced } = self.request.take();
        if let (None, Some(fault)) = (self.fault, fault) {
            transcript.count_row_fault(fault);
        }
        self.fault = self.fault.or(fault);
        if !rows.is_empty() {
            self.rows.extend(rows);
            self.waiting_since = None;
        }
        self.bound(transcript, synced);
        if self.judge(transcript) {
            return true;
        }
        let reason = match self.fault {
            Some(fault) => Some(reason(fault)),
            None => self.wait(transcript).await,
        };
        match reason {
            Some(reason) => {
                transcript.fail_choice(0, reason);
                true
            }
            None => !transcript.awaits_rows(),
        }
    }

    /// Takes how many tokens text may be of, and asks for that of what has come since.
    fn bound(&mut self, transcript: &mut Transcript, synced: Option<usize>) {
        let Some(mut measured) = transcript.measured() else { return };
        if let Some(told) = synced.filter(|_| std::mem::take(&mut self.is_asked)) {
            measured.bound(self.asked, told + 1);
        }
        if !self.is_asked
            && let Some(to) = measured.uncounted().filter(|to| *to > self.asked)
            && self.request.sync()
        {
            (self.asked, self.is_asked) = (to, true);
        }
    }

    /// Judges as many rows as count by now, and clears the text that they stand for.
    fn judge(&mut self, transcript: &mut Transcript) -> bool {
        let Some(mut measured) = transcript.measured() else { return false };
        let mut is_more = false;
        if !self.is_prompt_judged
            && let Some(row) = self.rows.pop_front()
        {
            measured.prompt(self.request.prompt_tokens(), &self.projections(&row));
            (self.is_prompt_judged, is_more) = (true, true);
        }
        let received = self.judged + self.rows.len();
        loop {
            // What was judged before a breach may leave: text is cleared after each token.
            is_more |= self.is_prompt_judged && measured.clear(self.judged);
            if self.judged >= measured.due(received) {
                return is_more;
            }
            let Some(row) = self.rows.pop_front() else { return is_more };
            measured.token(self.judged, &self.projections(&row));
            self.judged += 1;
            is_more = true;
        }
    }

    /// Tokens of the prompt, once the engine has read it.
    pub(super) fn prompt_tokens(&self) -> usize {
        self.request.prompt_tokens()
    }

    fn projections(&self, row: &[f32]) -> Vec<f32> {
        self.columns.iter().map(|column| row.get(*column).copied().unwrap_or(f32::NAN)).collect()
    }

    /// Nothing has come. Gives why the rest counts as unscored, if it does.
    async fn wait(&mut self, transcript: &mut Transcript) -> Option<UnscoredReason> {
        let count = transcript.count()?;
        let now = Instant::now();
        let since = *self.waiting_since.get_or_insert(now);
        if count.is_complete() && !count.is_told() {
            if !count.is_observed() && transcript.waits() {
                // Text, and nobody knows of how many tokens.
                return Some(UnscoredReason::NotUnderstood);
            }
            if now - since < SETTLE {
                return None;
            }
            transcript.count_mut()?.tell(self.judged + self.rows.len());
            self.judge(transcript);
            return transcript.awaits_rows().then_some(UnscoredReason::MissingProjection);
        }
        if count.lacks_last(self.judged) && self.is_prompt_judged {
            return self.measure_last(transcript).await;
        }
        let measured = self.is_prompt_judged.then_some(self.judged + self.rows.len());
        if !count.is_ahead(measured) {
            // The engine itself makes it wait.
            self.waiting_since = None;
            return None;
        }
        (now - since >= self.deadline).then_some(UnscoredReason::Deadline)
    }

    /// The engine has not read the last token, and its text is to leave.
    async fn measure_last(&mut self, transcript: &mut Transcript) -> Option<UnscoredReason> {
        let missing = Some(UnscoredReason::MissingProjection);
        let Some(last_token) = self.last_token.take() else { return missing };
        let Some((prompt, response)) = transcript.count()?.all_tokens() else { return missing };
        let measuring = last_token.measure(prompt, response);
        match tokio::time::timeout(self.deadline, measuring).await {
            Ok(Some(row)) => {
                self.rows.push_back(row);
                self.judge(transcript);
                None
            }
            Ok(None) => missing,
            Err(_) => Some(UnscoredReason::Deadline),
        }
    }

    /// Waits until something has come, or it is time to look how long nothing has.
    pub(super) async fn woken(&self) {
        let _ = tokio::time::timeout(LOOK, self.request.changed()).await;
    }
}

fn reason(fault: RowFault) -> UnscoredReason {
    match fault {
        RowFault::Gap | RowFault::Other => UnscoredReason::MissingProjection,
        RowFault::TooMany => UnscoredReason::QueueFull,
        RowFault::Lost => UnscoredReason::EngineFailed,
    }
}
