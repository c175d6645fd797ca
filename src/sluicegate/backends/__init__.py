"""The ports made real: stores of revocations. What a library raises becomes an error of ours here, once."""
