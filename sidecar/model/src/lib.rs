//! Language-model engine on candle, with its activations open.
