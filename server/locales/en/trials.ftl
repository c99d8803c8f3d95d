error-trial-used = You have had a free trial already. Choose a plan to create another instance.
error-trial-network = Too many trials were started from your network today. Try again tomorrow, or choose a plan.
error-trial-expired = Your trial has ended. Your data are still there: choose a plan to go on.
trial-start = Start free trial
trial-offer = There is a free trial waiting for you.
trial-of = Free trial: { $name }
trial-days-left = { $days ->
    [one] { $days } day left.
   *[other] { $days } days left.
 }
trial-ends = It ends on
trial-has-ended = The trial has ended, and the instance is stopped.
trial-deleted-on = Its data are removed on
trial-keep = Keep it: choose a plan
trial-means = The trial ends by itself and costs nothing. Outgoing mail is closed meanwhile. You can keep the instance by choosing a plan.
activity-trial-expired = The free trial of { $name } has ended
activity-trial-deleted = The free trial { $name } was removed
activity-trial-converted = The free trial { $name } was kept with a plan
activity-trial-given-back = The free trial of { $name } did not begin; it can be started again
