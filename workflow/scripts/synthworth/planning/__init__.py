"""What a study will run, what that costs, and how small an effect it could find: said before anything is trained."""
