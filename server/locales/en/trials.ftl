error-trial-used = You have had a free trial already. Choose a plan to create another instance.
error-trial-network = Too many trials were started from your network today. Try again tomorrow, or choose a plan.
error-trial-expired = Your trial has ended. Your data are still there: choose a plan to go on.
