<?php

$lang['Jinshitong.name'] = 'Jinshitong VPS';
$lang['Jinshitong.description'] = 'Sells instances of a Jinshitong VPS platform.';
$lang['Jinshitong.module_row'] = 'Platform';
$lang['Jinshitong.module_row_plural'] = 'Platforms';
$lang['Jinshitong.module_group'] = 'Platform group';
$lang['Jinshitong.row.host'] = 'Address of the portal (https://…)';
$lang['Jinshitong.row.token'] = 'Token of the billing system (jstb_…)';
$lang['Jinshitong.row.add'] = 'Add a platform';
$lang['Jinshitong.row.save'] = 'Test and save';
$lang['Jinshitong.package.plan'] = 'Plan';
$lang['Jinshitong.package.image'] = 'Image';
$lang['Jinshitong.service.jinshitong_hostname'] = 'Host name';
$lang['Jinshitong.service.jinshitong_ssh_key'] = 'SSH key';
$lang['Jinshitong.!error.plan'] = 'Choose a plan.';
$lang['Jinshitong.!error.image'] = 'Choose an image.';
$lang['Jinshitong.!error.hostname'] = 'A host name has letters, digits, hyphens and dots.';
