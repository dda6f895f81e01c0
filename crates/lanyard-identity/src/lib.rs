//! Who is asking: verified identities of agents and operators.
