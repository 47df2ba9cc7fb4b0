"""What makes the generated parts of the pages and the pictures of the README, and the tests of both."""
