"""Samplers: which utterances, prompts, tasks and levels make up every micro-batch, as a pure function of corpus, configuration and place."""
