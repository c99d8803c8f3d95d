error-trial-used = You have had a free trial already. Choose a plan to create another instance.
error-trial-network = Too many trials were started from your network today. Try again tomorrow, or choose a plan.
error-trial-disposable = Free trials need a mailbox that lasts. Change your address on the security page, or choose a plan.
error-trial-device = Somebody else has started a free trial with this browser lately. Choose a plan, or ask us to look at it.
error-appeal-nothing = Nothing stands in the way of a trial that we could change.
error-appeal-open = We have your request already and answer it by mail.
error-appeals-spent = You have asked three times. Choose a plan to go on.
appeal-title = Ask us to look at it
appeal-lede = Our rules against abuse sometimes refuse the wrong person. Tell us who you are, and a person decides.
appeal-message = What should we know?
appeal-message-hint = For instance who else uses your network or computer, and what you want to try.
appeal-send = Send
appeal-ask = Is this a mistake? Ask us to look at it.
appeal-waits = We have your request and answer it by mail.
appeal-granted = Granted: you can start your free trial.
appeal-declined = Looked at, and declined.
appeal-no-need = Nothing stands in the way of a free trial that we could change.
flash-appeal-sent = Your request is with us. We answer it by mail.
activity-trial-appealed = { $actor } asked us to look at a refused trial
activity-trial-appeal-decided = The platform answered a request about a refused trial
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
trial-keep-as-it-is = Keep it as it is: { $price }
trial-means = The trial ends by itself and costs nothing. Outgoing mail is closed meanwhile. You can keep the instance by choosing a plan.
activity-trial-expired = The free trial of { $name } has ended
activity-trial-deleted = The free trial { $name } was removed
activity-trial-converted = The free trial { $name } was kept with a plan
activity-trial-given-back = The free trial of { $name } did not begin; it can be started again
