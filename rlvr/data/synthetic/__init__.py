"""Text and tasks that this project makes itself: nothing is downloaded, everything follows from a seed."""
