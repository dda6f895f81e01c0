//! lanyard: the command line of agents and operators.
