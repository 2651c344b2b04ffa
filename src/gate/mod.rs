//! The mTLS front: admit, route, decide, forward, watch.
