"""The maths of learning from rewards: pure functions, tensors in and tensors out, and the rows that combine them."""
