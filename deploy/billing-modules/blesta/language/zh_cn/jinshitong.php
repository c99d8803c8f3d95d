<?php

$lang['Jinshitong.name'] = '金时通 VPS';
$lang['Jinshitong.description'] = '销售金时通 VPS 平台的实例。';
$lang['Jinshitong.module_row'] = '平台';
$lang['Jinshitong.module_row_plural'] = '平台';
$lang['Jinshitong.module_group'] = '平台组';
$lang['Jinshitong.row.host'] = '门户地址（https://…）';
$lang['Jinshitong.row.token'] = '计费系统令牌（jstb_…）';
$lang['Jinshitong.row.add'] = '添加平台';
$lang['Jinshitong.row.save'] = '测试并保存';
$lang['Jinshitong.package.plan'] = '套餐';
$lang['Jinshitong.package.image'] = '镜像';
$lang['Jinshitong.service.jinshitong_hostname'] = '主机名';
$lang['Jinshitong.service.jinshitong_ssh_key'] = 'SSH 公钥';
$lang['Jinshitong.!error.plan'] = '请选择套餐。';
$lang['Jinshitong.!error.image'] = '请选择镜像。';
$lang['Jinshitong.!error.hostname'] = '主机名只能包含字母、数字、连字符和点。';
