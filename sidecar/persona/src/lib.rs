//! Persona vectors: formats, projection, extraction, calibration and their statistics.
