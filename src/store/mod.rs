//! The store: look-up traits, one per noun, and atomic commands. SQLite behind them.
