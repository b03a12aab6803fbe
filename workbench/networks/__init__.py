"""The networks of the paper and their files; `fast` holds optimised versions of the same sums."""
