"""What did the models have in common, how sure is that, and did it change?"""
