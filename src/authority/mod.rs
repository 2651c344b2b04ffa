//! Every change of state, and the only writer; and the standing that the gate reads.
