"""What starts, where and when; and the engines that execute it."""
