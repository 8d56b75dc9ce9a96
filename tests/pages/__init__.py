"""The pages of the site: what their blocks say is run, and where their links lead is looked up."""
