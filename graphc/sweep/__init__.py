"""Many runs of one recipe, whose settings differ, found on by any number of processes and hosts (`graphc sweep`)."""
