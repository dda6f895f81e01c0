//! lanyardd: the listeners, the configuration, and where everything is wired.
