"""What comes from hosts and from others, mutated: nothing but an honest error may come out."""
