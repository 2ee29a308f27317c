"""What is known of a symbol at the close of a session, as numbers. Nothing here can see a later session."""
